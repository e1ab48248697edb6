"""Eight models that know nothing of jointdec, as Keras, PyTorch and JAX train them."""
