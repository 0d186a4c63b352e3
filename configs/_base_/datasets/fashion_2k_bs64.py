# The first 2,000 training images of Fashion-MNIST, all 10,000 test images: so
# few that a network overfits, and that regularisers differ.
_base_ = ['fashion_mnist_bs64.py']

train_dataloader = dict(dataset=dict(indices=2000))
