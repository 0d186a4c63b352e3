# Copyright (c) mmrmix contributors. SPDX-License-Identifier: Apache-2.0
"""Has the current state been validated? A checkpoint says so itself."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

# In mmengine's message hub: the value of num_steps at the last validation. What begins with "val" would be logged.
VALIDATED = 'last_validated'


def num_steps(runner: Runner) -> int:
    """Count of validation intervals: iterations in an iteration-based loop, else epochs."""
    return runner.iter if isinstance(runner.train_loop, IterBasedTrainLoop) else runner.epoch


def validate_if_missing(runner: Runner) -> None:
    """Run the validation whose result a resumed checkpoint lacks, in ``before_train``.

    mmengine saves before it validates. After a kill in between it would
    continue without the result, and perhaps without the best checkpoint.
    """
    loop = runner.train_loop
    if runner.val_loop is None or not isinstance(loop, (EpochBasedTrainLoop, IterBasedTrainLoop)):
        return  # Another loop validates by rules of its own.
    # Private, but the only place that knows dynamic_intervals.
    loop._decide_current_val_interval()
    is_by_iter = isinstance(loop, IterBasedTrainLoop)
    step, last = num_steps(runner), loop.max_iters if is_by_iter else loop.max_epochs
    is_due = step >= loop.val_begin and (step % loop.val_interval == 0 or step == last)
    if is_due and runner.message_hub.get_info(VALIDATED) != step:
        unit = 'iteration' if is_by_iter else 'epoch'
        runner.logger.info(f'The checkpoint was saved before its validation: validating {unit} {step} now.')
        runner.val_loop.run()
