"""The report: one self-contained HTML file about a Program, its run, its checks and its costs."""

from astrodeploy.reporting.page import report

__all__ = ["report"]
