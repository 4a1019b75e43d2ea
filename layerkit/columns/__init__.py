"""Columns of tables: numbers, categories and dates; how they are recognized and become numbers."""

from layerkit.columns.cells import RawTable, raw_table
from layerkit.columns.choice import choose_columns
from layerkit.columns.kinds import Category, Column, Date, Number

__all__ = ["Category", "Column", "Date", "Number", "RawTable", "choose_columns", "raw_table"]
