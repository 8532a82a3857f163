"""What runs from the command line.

    plots, report_figure      pictures of maps, and of a network before and after its collapse
    bench/                    speed and errors, beside what one would use instead
    experiments/              the figures and tables of the paper
    cli/                      the commands
"""

from __future__ import annotations
