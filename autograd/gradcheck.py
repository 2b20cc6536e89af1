"""placeholder"""


class GradcheckError(AssertionError):
    """x"""


def gradcheck(f, inputs, *, eps=1e-5, rtol=1e-6, atol=1e-8, seed=0):
    """x"""
