#!/bin/sh
# Build the checker of certificates: compile its proofs, extract them to OCaml, link.  build.sh TARGET
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:?the path of the program to be written}
for tool in coqc ocamlfind ocamlopt; do
  command -v "$tool" >/dev/null || missing="${missing:-}$tool "
done
ocamlfind query zarith >/dev/null 2>&1 && [ -e "$(ocamlfind query zarith 2>/dev/null)/zarith.cmxa" ] || missing="${missing:-}zarith "
if [ -n "${missing:-}" ]; then
  echo "The checker is not built: ${missing}not found; apt-get install coq ocaml-findlib libzarith-ocaml-dev"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$(dirname "$target")" "$work/checker"
cp "$here"/*.v "$here"/*.ml "$work/checker"
cd "$work"
for file in evaluator rational modular patterns rounding grids magnitudes extract; do
  coqc -q -w none -Q . AlgebraicCNN "checker/$file.v" >/dev/null
done
cp checker/*.ml .
ocamlfind ocamlopt -w -a -O3 -package zarith -c zz.ml certified.mli certified.ml
ocamlfind ocamlopt -O3 -package zarith -linkpkg zz.cmx certified.cmx reader.ml main.ml -o checker.exe
cd - >/dev/null
cp "$work/checker.exe" "$target.new"
mv "$target.new" "$target"
echo "$target"
