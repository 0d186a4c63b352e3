# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the command-line tools share: options, configs, messages. No library module imports it."""
