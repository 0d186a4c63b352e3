# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Write the tables of README.md and configs/*/README.md from the metafiles, between two markers.

python lab/paper_tables.py            # after a change of a metafile
python lab/paper_tables.py --check    # says which tables are out of date
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Callable, Dict, List, Sequence

from reproduction.metafiles import CONFIGS, backbones, columns, errors, model, models, paper_recipe

BEGIN = '<!-- lab/paper_tables.py writes this table from the metafiles. -->'
END = '<!-- End of the table. -->'
OURS = 'not trained yet'

# Table 2 begins with CutMix and ends with RecursiveMix, which have their own folders.
ABLATIONS = [
    ('Table 2', 'CutMix', 'cutmix/pyramidnet164-a270_2xb64-cutmix_cifar100.py'),
    ('Table 2', '+ RS: the other image is resized into the box', 'ablation/pyramidnet164-a270_2xb64-rs_cifar100.py'),
    ('Table 2', "the same, with RM's λ in every batch", 'ablation/pyramidnet164-a270_2xb64-rs-uniform_cifar100.py'),
    ('Table 2', '+ HIS: it comes from the last batch', 'ablation/pyramidnet164-a270_2xb64-rs-his_cifar100.py'),
    ('Table 2', '+ CL: consistency loss (RecursiveMix)', 'rm/pyramidnet164-a270_2xb64_cifar100.py'),
    ('Table 4a', 'shared linear layer', 'ablation/pyramidnet200-a240_2xb32-shared-fc_cifar10.py'),
    ('Table 4a', 'shared linear layer', 'ablation/resnet18_2xb64-shared-fc_cifar100.py'),
    ('Table 4a', 'shared linear layer', 'ablation/resnet50_8xb64-shared-fc_imagenet.py'),
    ('Table 4b', 'bilinear interpolation', 'ablation/pyramidnet200-a240_2xb32-bilinear_cifar10.py'),
    ('Table 4b', 'bilinear interpolation', 'ablation/resnet18_2xb64-bilinear_cifar100.py'),
    ('Table 4b', 'bilinear interpolation', 'ablation/resnet50_8xb64-bilinear_imagenet.py'),
]


def markdown(header: Sequence[str], rows: List[Sequence[str]]) -> str:
    """A table."""
    lines = [header, ['---'] * len(header), *rows]
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines).replace('| --- ', '|---').replace('|--- |', '|---|')


def link(config: str, folder: str, text: str = 'config') -> str:
    """Link from the README of a folder to a config."""
    other, name = config.split('/', 1)
    return f'[{text}]({name})' if other == folder else f'[{other}](../{config})'


def classification(folder: str) -> str:
    """Every network with one method."""
    header = ['data', 'network', 'epochs', 'batch', 'precision', 'parameters (training → deployed)', 'FLOPs']
    rows = []
    for config, entry in models(folder).items():
        metadata = entry['Metadata']
        devices, images = re.search(r'_(\d+)xb(\d+)', config).groups()
        counts = [metadata[key] for key in ('Training Parameters', 'Parameters') if key in metadata]
        rows.append([
            metadata['Training Data'],
            ', '.join(metadata['Architecture']),
            str(metadata['Epochs']),
            f'{devices} × {images}',
            metadata['Precision'],
            ' → '.join(f'{count / 1e6:.2f}' for count in counts) + ' M',
            f'{metadata["FLOPs"] / 1e9:.2f} G',
            paper_error(config, folder),
            OURS,
            link(config, folder),
        ])  # fmt: skip
    return markdown([*header, 'top-1 error, % (paper)', 'ours', 'config'], rows)


def paper_error(config: str, folder: str) -> str:
    """Error in the paper and, where it is not of this recipe, whose it is."""
    entry = model(config)
    if 'Variant Of' in entry:
        return f'variant of {link(entry["Variant Of"].split("/", 1)[1], folder, "this config")}'
    top1, *top5 = errors(config)
    text = f'{top1:.2f}' + ''.join(f' (top-5 {error:.2f})' for error in top5)
    if 'Paper Source' in entry:
        text += f', quoted from {entry["Paper Source"]}'
    recipe = paper_recipe(config)
    return text if recipe == config else f'{text}, of {link(recipe, folder, "this config")}'


def ablation() -> str:
    """Tables 2 and 4."""
    rows = []
    for table, what, config in ABLATIONS:
        metadata = model(config)['Metadata']
        network = f'{metadata["Architecture"][0]}, {metadata["Training Data"].replace("-1k", "")}'
        rows.append([table, what, network, paper_error(config, 'ablation'), OURS, link(config, 'ablation')])
    return markdown(['paper', 'what', 'network', 'top-1 error, % (paper)', 'ours', 'config'], rows)


def numbers(config: str, names: Sequence[str], digits: int) -> List[str]:
    """Some metrics of the three columns of Tables 7 to 9; where one starts from a URL, with its host."""
    return [
        ' / '.join(f'{column[name]:.{digits}f}' for name in names)
        + (f' ({start.split(":")[0]})' if '://' in start else '')
        for column, start in zip(columns(config), backbones(config).values())
    ]


def detection() -> str:
    """Tables 7 and 8: boxes, and masks where there are any."""
    rows = []
    for config, entry in models('detection').items():
        for what in ('box', 'mask') if 'mask AP' in columns(config)[0] else ('box',):
            values = numbers(config, [f'{what} {name}' for name in ('AP', 'AP50', 'AP75')], 1)
            rows.append([*entry['Metadata']['Architecture'], what, *values, OURS, link(config, 'detection')])
    paper = ['without mixing (paper): AP / AP50 / AP75, %', 'CutMix (paper)', 'RM (paper)']
    return markdown(['detector', 'backbone', 'of', *paper, 'ours', 'config'], rows)


def segmentation() -> str:
    """Table 9."""
    rows = []
    for config, entry in models('segmentation').items():
        values = numbers(config, ('mIoU', 'mAcc', 'aAcc'), 2)
        rows.append([*entry['Metadata']['Architecture'], *values, OURS, link(config, 'segmentation')])
    paper = ['without mixing (paper): mIoU / mAcc / aAcc, %', 'CutMix (paper)', 'RM (paper)']
    return markdown(['segmentor', 'backbone', *paper, 'ours', 'config'], rows)


def fine_tuning() -> str:
    """One row of Table 7, and the checkpoint that each of its columns starts from."""
    config = 'detection/atss/atss_resnet50_8xb2-1x_coco.py'
    names = ['without mixing', '+ CutMix', '+ RM']
    starts = [
        f'`{start if "://" in start else f"work_dirs/{Path(start).stem}/best_*.pth"}`'
        for start in backbones(config).values()
    ]
    starts[-1] += ' (what the config says)'
    values = [f'{column["box AP"]:.1f}' for column in columns(config)]
    header = ['column', '`--cfg-options model.backbone.init_cfg.checkpoint=`', 'ATSS, ResNet-50: AP (paper)']
    return markdown(header, list(zip(names, starts, values)))


def costs() -> str:
    """Table 10."""
    rows = []
    for method, folder in (('baseline', 'baseline'), ('mixup', 'mixup'), ('CutMix', 'cutmix'), ('RM', 'rm')):
        (entry,) = [entry for entry in models(folder).values() if 'Paper Cost' in entry]
        memory, multiply_adds, hours = entry['Paper Cost'].values()
        counts = entry['Metadata']
        trained = counts.get('Training Parameters', counts['Parameters'])
        rows.append([
            method, f'{memory} MB', f'{multiply_adds:.2f} G', f'{trained / 1e6:.2f} M', f'{counts["Parameters"] / 1e6:.2f} M',
            f'{hours:.1f}',
        ])  # fmt: skip
    header = ['ResNet-50, 300 epochs', 'memory', 'multiply-adds', 'parameters in training', 'deployed', 'hours']
    return markdown(header, rows)


PAGES: Dict[Path, Callable[[], str]] = {
    CONFIGS.parent / 'README.md': fine_tuning,
    CONFIGS.parent / 'docs/fidelity.md': costs,
    **{
        CONFIGS / folder / 'README.md': lambda folder=folder: classification(folder)
        for folder in ('rm', 'baseline', 'mixup', 'cutmix')
    },
    CONFIGS / 'ablation/README.md': ablation,
    CONFIGS / 'detection/README.md': detection,
    CONFIGS / 'segmentation/README.md': segmentation,
}


def updated(page: Path) -> str:
    """Text of a page with its table as the metafiles have it.

    Raises:
        ValueError: If the page has not exactly one pair of markers.
    """
    parts = re.split(f'(?s){re.escape(BEGIN)}.*?{re.escape(END)}', page.read_text(encoding='utf-8'))
    if len(parts) != 2:
        raise ValueError(f'{page} has {len(parts) - 1} tables between "{BEGIN}" and "{END}": it must have one.')
    return f'{BEGIN}\n\n{PAGES[page]()}\n\n{END}'.join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true', help='write nothing, fail if a table is out of date')
    args = parser.parse_args()
    outdated = {page: text for page in PAGES if (text := updated(page)) != page.read_text(encoding='utf-8')}
    if args.check and outdated:
        sys.exit(f'Out of date: {", ".join(map(str, outdated))}. Run `python lab/paper_tables.py`.')
    for page, text in outdated.items():
        page.write_text(text, encoding='utf-8')
        print(f'{page} written')


if __name__ == '__main__':
    main()
