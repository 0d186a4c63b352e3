# The quick start: RecursiveMix on Fashion-MNIST, `make demo`.
_base_ = ['resnet10_1xb64-baseline_fashion-mnist.py']

model = dict(
    neck=None,
    head=dict(type='mmrmix.RMHead', omega=0.1, cal_acc=True),
    train_cfg=dict(augments=dict(type='mmrmix.RecursiveMix', alpha=0.5)),
)
custom_hooks = [dict(type='mmrmix.RMHistoryHook')]

log_processor = dict(custom_cfg=[dict(data_src='accuracy_top-1', method_name='mean', window_size=100)])
