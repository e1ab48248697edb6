"""STUB for jointdec.fit, to be deleted: the loop of shared/lab/one_program.py, an epoch as one program under XLA."""

from __future__ import annotations

import tensorflow as tf


def fit(model, x, y, *, sample_weight, batch_size, epochs, callbacks, **options):  # noqa: ANN001, ANN003, ANN201, D103, PLR0913
    data = tf.nest.map_structure(tf.constant, (x, y, sample_weight))
    steps = len(y["cls"]) // batch_size
    before = [variable.numpy() for variable in model.variables]
    model.train_on_batch(*(tf.nest.map_structure(lambda a: a[:batch_size], part) for part in (x, y, sample_weight)))
    for variable, value in zip(model.variables, before, strict=False):
        variable.assign(value)
    for variable in model.optimizer.variables:
        if variable is not model.optimizer.learning_rate:
            variable.assign(tf.zeros_like(variable))

    @tf.function(jit_compile=True, autograph=False)
    def program():  # noqa: ANN202
        def body(step, curve):  # noqa: ANN001, ANN202
            rows = step * batch_size + tf.range(batch_size)
            batch = tf.nest.map_structure(lambda a: tf.gather(a, rows), data)
            for metric in model.metrics:
                metric.reset_state()
            loss = model.train_step(batch)["loss"]
            return step + 1, tf.tensor_scatter_nd_update(curve, [[step]], [loss])

        return tf.while_loop(lambda step, _: step < steps, body, (tf.constant(0), tf.zeros(steps)))[1]

    for epoch in range(epochs):
        callbacks[0].on_epoch_begin(epoch)
        callbacks[0].on_epoch_end(epoch, {"loss": program().numpy().mean()})
