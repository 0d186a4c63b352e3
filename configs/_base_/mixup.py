# Mixup on top of a config without mixing.
mixup = dict(model=dict(train_cfg=dict(augments=dict(type='Mixup', alpha=1.0))))
