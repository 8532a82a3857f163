"""What the pages say of long runs is what the records beside them say."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

import pytest

from algebraic_cnn.apps.bench.zoo.keeper import recorded
from algebraic_cnn.apps.cli.zoo import in_markdown
from algebraic_cnn.apps.experiments import accuracy, schedules
from algebraic_cnn.files.records import read_records

DOCS = Path(__file__).parent.parent.parent / "notebooks" / "docs"
#: Line of the table to what it shows of which records.
SHOWN = {
    "ResNet, with its skips": (schedules.RESNET, "accuracy"),
    "the same with its skips at 0": (schedules.RESNET, "at_zero"),
}
SHOWN |= {"never skips": (schedules.NEVER, "at_zero")}
SHOWN |= {f"linear, {order}": (order, "at_zero") for order in schedules.ORDERS}
SHOWN |= {line: (line, "at_zero") for line in (*schedules.CURVES, *schedules.SEARCHED)}


@pytest.mark.parametrize(("column", "data"), [(0, "mnist"), (1, "digits")])
def test_the_table_of_schedules_is_that_of_the_records(column: int, data: str) -> None:
    trained = schedules.by_line(read_records(DOCS / "records" / f"schedules-{data}.jsonl"))
    section = (DOCS / "results.md").read_text().split("## All schedules at one budget")[1].split("\n## ")[0]
    rows = {cells[0]: cells[1:] for line in section.splitlines() if (cells := re.findall(r"[^|]+", line))[1:]}
    rows = {name.strip(): [cell.strip() for cell in cells] for name, cells in rows.items()}
    for name, (line, what) in SHOWN.items():
        values = [100 * record[what] for record in trained[line]]
        mean, spread = map(float, rows[name][column].split(" ± "))
        digits = len(rows[name][column].split(" ± ")[1].partition(".")[2])
        assert spread == round(statistics.stdev(values), digits), name
        assert mean == round(statistics.fmean(values), digits), name


def test_the_tables_of_the_figures_are_those_of_the_records() -> None:
    records = read_records(DOCS / "records" / "figures-narrow.jsonl")
    figures = [(accuracy.FIGURE1, accuracy.table_of_t), (accuracy.FIGURE2, accuracy.table_of_t)]
    found = [row for presets, table in figures for row in table(presets["medium"], records)]
    found += [row for row in accuracy.table_of_ways(accuracy.FIGURE3["medium"], records) if "t = " not in row["way"]]
    section = (DOCS / "results.md").read_text().split("## The paper's figures")[1].split("\n## ")[0]
    shown = re.findall(r"([\d.]+) ± ([\d.]+)", section)
    assert len(shown) == len(found) == 5 + 5 + 4 + 4 + 3
    for row, (mean, spread) in zip(found, shown, strict=True):
        digits = len(spread.partition(".")[2])
        assert (float(mean), float(spread)) == (round(row["accuracy"], digits), round(row["spread"], digits)), row


def test_the_tables_of_public_networks_are_those_of_the_records() -> None:
    found = in_markdown(recorded(DOCS / "records" / "zoo.jsonl"))
    assert "\n".join(found) in (DOCS / "results.md").read_text()


def test_the_nodes_of_onnx_files_are_those_of_the_records() -> None:
    records = read_records(DOCS / "records" / "onnx.jsonl")
    page = (DOCS / "howto" / "collapse.md").read_text()
    rows = re.findall(r"^\| (\S+) (\S+), `(\S+)` \| (\d+) \| (\d+) \| (\d+) \|$", page, re.M)
    shown = [(r["package"], r["version"], r["file"], r["given"], r["onnxslim"], r["collapse"]) for r in records]
    assert [(*row[:3], *map(int, row[3:])) for row in rows] == shown
    assert f" {len(rows)} files of public packages" in page
    assert [r["file"] for r in records if r["collapse"] > r["onnxslim"]] == []


def test_the_table_beside_other_tools_is_that_of_the_records() -> None:
    records = [record for record in read_records(DOCS / "records" / "onnx.jsonl") if "tools" in record]
    page = (DOCS / "howto" / "collapse.md").read_text().split("each through onnxsim")[1]
    tools = ["onnxsim", "onnxslim", "onnxoptimizer", "onnxruntime", "collapse"]
    shown = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if "` |" in line]
    assert [row[0] for row in shown] == [f"{r['package']} {r['version']}, `{r['file']}`" for r in records]
    for row, record in zip(shown, records, strict=True):
        told = [f"{record['tools'][tool]['nodes']}, {record['tools'][tool]['time']:.2f}" for tool in tools]
        assert row[1:] == [str(record["given"]), *told, f"{record['again']:.2f}"]
        assert record["tools"]["onnxslim"]["nodes"] == record["onnxslim"]
        assert record["tools"]["collapse"]["nodes"] == record["collapse"]
    left = [(r["file"], tool) for r in records for tool in tools
            if r["tools"][tool]["verdict"] not in ("equal", "rounding")]  # fmt: skip
    assert left == [("common.onnx", "onnxslim")]
    assert [tool for r in records for tool in tools if r["tools"][tool]["verdict"] == "different"] == ["onnxslim"]
