# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""What the tools leave behind: logs and pictures."""

import json

import cv2


def log(work_dir):
    """Entries of the latest log."""
    return [json.loads(line) for line in max(work_dir.glob('*/vis_data/scalars.json')).read_text().splitlines()]


def size(path):
    """Height and width of a picture."""
    return cv2.imread(str(path)).shape[:2]
