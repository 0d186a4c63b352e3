# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""The paper's numbers, from the only place that has them: the metafiles in configs/.

Entries have keys of their own beside those of OpenMMLab's format: ``Paper
Results``, and ``Paper Source`` where the paper quotes them; instead of them
``Paper Recipe``, where another config has the recipe that made the paper's
number, or ``Variant Of`` a config that has the number; ``Paper Cost`` of Table
10; ``Backbones``, what each column of Tables 7 to 9 starts from.
"""

from functools import lru_cache
from pathlib import Path
from typing import Dict, List, Optional, Tuple

import yaml

CONFIGS = Path(__file__).parents[2] / 'configs'


@lru_cache(maxsize=None)  # Parsing takes 20 ms, and every row asks several times.
def models(folder: str) -> Dict[str, dict]:
    """Entries of ``configs/FOLDER/metafile.yml``, by config below configs/."""
    content = yaml.safe_load((CONFIGS / folder / 'metafile.yml').read_text(encoding='utf-8'))
    return {_below(model['Config']): model for model in content['Models']}


def model(config: str) -> dict:
    """The entry of a config."""
    return models(config.split('/')[0])[config]


def paper_recipe(config: str) -> str:
    """The config with the recipe that made the paper's number: mostly the same one."""
    return _below(model(config).get('Paper Recipe', f'configs/{config}'))


def errors(config: str) -> Tuple[float, ...]:
    """Top-1 error of a classifier, and top-5 error where the paper has it, in %; empty for a variant.

    The metafiles have accuracies.
    """
    results = model(paper_recipe(config)).get('Paper Results', {})
    return tuple(round(100 - accuracy, 2) for accuracy in results.values())


def uses_amp(config: str) -> bool:
    """Whether the authors trained it in mixed precision."""
    return model(config)['Metadata']['Precision'] == 'fp16'


def hours(config: str) -> Optional[float]:
    """Training time in Table 10, on 8 TITAN Xp."""
    return model(config).get('Paper Cost', {}).get('hours')


def columns(config: str) -> List[Dict[str, float]]:
    """Metrics of a detector or segmentor from three backbones: without mixing, CutMix and RecursiveMix."""
    return list(model(config)['Paper Results'].values())


def backbones(config: str) -> Dict[str, str]:
    """What the columns start from: the config of a run below configs/, or a URL."""
    return {column: start if '://' in start else _below(start) for column, start in model(config)['Backbones'].items()}


def _below(path: str) -> str:
    return path.split('/', 1)[1]
