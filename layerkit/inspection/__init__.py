"""Looking into a network: tables, drawings, values, costs."""
