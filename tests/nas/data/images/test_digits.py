import numpy as np
from sklearn.datasets import load_digits

from nas.data.images.decoding import Form, decode
from nas.data.images.digits import read_digits


def test_the_digits_are_whole_and_labelled():
    digits, bunch = read_digits(), load_digits()
    assert len(digits) == 1797
    assert digits.labels.tolist() == bunch.target.tolist()
    assert digits.classes == tuple("0123456789")
    pixels = decode(digits.read(17), Form(1, 8))[0]
    assert np.array_equal(pixels, np.round(bunch.images[17] / 16 * 255))
    assert digits.place(17) == "digit 17"
