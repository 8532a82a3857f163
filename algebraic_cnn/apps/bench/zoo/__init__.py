"""Public networks, collapsed one after the other: what works, what is left of them, and what it costs.

From the ground up:

    made, classifiers, configured, others    how each package makes its networks
    shelf        architectures of installed packages, with random weights
    trial        one network: its export, its collapse, errors beside float64, time, memory, latency
    keeper       a process for each network, with limits of time and memory; records that a later run goes on from
"""

from __future__ import annotations
