// A button on every example that copies what one would type: without the prompts, and without what was printed.

function typed(text) {
  const lines = text.replace(/\n$/, "").split("\n");
  const prompt = [/^(>>>|\.\.\.)( |$)/, /^\$ /].find((form) => lines.some((line) => form.test(line)));
  if (!prompt) return lines.join("\n");
  return lines.filter((line) => prompt.test(line)).map((line) => line.replace(prompt, "")).join("\n");
}

function withButton(block) {
  const button = document.createElement("button");
  button.className = "copy";
  button.type = "button";
  button.textContent = "copy";
  button.setAttribute("aria-label", "copy the code");
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(typed(block.querySelector("pre").textContent));
    button.textContent = "copied";
    setTimeout(() => (button.textContent = "copy"), 1500);
  });
  block.append(button);
}

if (typeof document === "undefined") {
  module.exports = { typed };
} else {
  document.addEventListener("DOMContentLoaded", () => document.querySelectorAll("div.highlight").forEach(withButton));
}
