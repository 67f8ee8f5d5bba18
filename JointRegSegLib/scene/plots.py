"""Curves in Slicer's plot view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import slicer
import vtk

from .translation import tr as _

Series = Mapping[str, tuple[Sequence[int], Sequence[float]]]


class CurvesPlot:
    """A chart whose curves grow: its nodes stay the same, and come anew where the user deleted them.

    Args:
        scene: that holds the nodes.
        title: of the chart.
    """

    def __init__(self, scene: Any, title: str) -> None:
        self._scene = scene
        self._title = title
        self._chart_id = ""
        self._series_ids: dict[str, str] = {}

    def update(self, series: Series) -> Any:
        """Show these curves, by name their steps and values; returns the chart node."""
        chart = self._scene.GetNodeByID(self._chart_id)
        if chart is None:
            chart = self._scene.AddNewNodeByClass("vtkMRMLPlotChartNode", self._title)
            chart.SetTitle(self._title)
            chart.SetXAxisTitle(_("step"))
            self._chart_id, self._series_ids = chart.GetID(), {}
        for name, (steps, values) in series.items():
            self._curve(chart, name).SetAndObserveTableNodeID(self._table(name, steps, values).GetID())
        return chart

    def show(self) -> bool:
        """Bring the chart before the user's eyes; False where the application has no plot views."""
        plots = getattr(slicer.modules, "plots", None)
        if plots is None or not self._chart_id:
            return False
        plots.logic().ShowChartInLayout(self._scene.GetNodeByID(self._chart_id))
        return True

    def _curve(self, chart: Any, name: str) -> Any:
        node = self._scene.GetNodeByID(self._series_ids.get(name, ""))
        if node is None:
            node = self._scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
            node.SetXColumnName(_("step"))
            node.SetYColumnName(_("value"))
            node.SetPlotType(node.PlotTypeScatter)
            node.SetMarkerStyle(node.MarkerStyleNone)
            node.SetUniqueColor()
            chart.AddAndObservePlotSeriesNodeID(node.GetID())
            self._series_ids[name] = node.GetID()
        return node

    def _table(self, name: str, steps: Sequence[int], values: Sequence[float]) -> Any:
        series = self._scene.GetNodeByID(self._series_ids[name])
        node = series.GetTableNode() or self._scene.AddNewNodeByClass(
            "vtkMRMLTableNode", _("{name} curve").format(name=name)
        )
        table = vtk.vtkTable()
        for title, column in ((_("step"), steps), (_("value"), values)):
            array = vtk.vtkDoubleArray()
            array.SetName(title)
            for value in column:
                array.InsertNextValue(value)
            table.AddColumn(array)
        node.SetAndObserveTable(table)
        return node
