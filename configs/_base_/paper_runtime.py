# The paper reports the best epoch.
_base_ = ['default_runtime.py']

default_hooks = dict(checkpoint=dict(save_best='auto'))
