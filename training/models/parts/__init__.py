"""Parts that hash models are made of, none of which is a model.

From real numbers to bits: `binarize` learns through a sign, `rotation` turns factors towards their
signs, `relaxation` and `bit_descent` minimise squares over real factors and over bits.
`distillation` holds the losses of `dgcn-bincf`, `listwise_encoder` and `listwise_descent` the two
stages of `listwise`. For users and items that come later, `encoding` fits linear maps to any
model's codes and `refining` cuts a teacher's item weights to what a service can hold.

Public: `encoding.fit_encoder`, `binarize.signs`, `bit_descent.descend`,
`rotation.learned_rotation`.
"""
