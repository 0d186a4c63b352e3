# CutMix on top of a config without mixing.
cutmix = dict(model=dict(train_cfg=dict(augments=dict(type='CutMix', alpha=1.0))))
