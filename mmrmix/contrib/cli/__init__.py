# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Options, configs and messages of the command-line tools; no library module imports it."""
