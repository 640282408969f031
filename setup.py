"""Installs the tools beside kure_tf, as the package kure_tf_tools."""

import setuptools

setuptools.setup(
    packages=[
        *setuptools.find_packages(include=["kure_tf", "kure_tf.*"]),
        "kure_tf_tools",
    ],
    package_dir={"kure_tf_tools": "tools"},
)
