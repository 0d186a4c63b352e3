# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What benchmark.py compares: a module for each kind of comparison."""
