"""Plots of measurements, as SVG."""
