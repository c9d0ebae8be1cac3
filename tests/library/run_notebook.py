"""Runs one notebook, as a program of its own: kernels have their own loops, threads and warnings.

python run_notebook.py SOURCE FOLDER_TO_RUN_IN RESULT
"""

from __future__ import annotations

import sys

import nbformat
from nbclient import NotebookClient

source, folder, result = sys.argv[1:]
notebook = nbformat.read(source, as_version=4)
resources = {"metadata": {"path": folder}}
NotebookClient(notebook, timeout=100, kernel_name="python3", resources=resources).execute()
nbformat.write(notebook, result)
