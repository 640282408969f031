"""The tools; an installed package calls them kure_tf_tools."""
