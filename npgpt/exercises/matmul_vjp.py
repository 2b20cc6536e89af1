"""The vector-Jacobian product of a matrix product."""

TASK = """
A linear layer is y = x @ w: y_no = sum_i x_ni w_io in each row n. Write its backward. An input x_ni
reaches the loss by all outputs o of its row, a weight w_io by all rows: its gradient is a sum over
them. x may have any number of axes before the last, such as texts and positions.
"""
RETURNS = "dx dw"
WHERE = "autograd.reference.linear_backward"
HINTS = """
dx_ni = sum_o dy_no w_io: a matrix product. Which of the two has to be transposed?
dw_io = sum_n x_ni dy_no: again a matrix product; the sum is over rows, not channels.
Flatten the axes in front for dw: x.reshape(-1, x.shape[-1]), and dy likewise.
"""


def matmul_vjp(dy, x, w):
    """Return dx (..., I), dw (I, O).    dy (..., O), x (..., I), w (I, O)"""
    x_NI, dy_NO = x.reshape(-1, x.shape[-1]), dy.reshape(-1, dy.shape[-1])
    return dy @ w.T, x_NI.T @ dy_NO


def cases(rng):
    for rows, size_in, size_out in (((2,), 3, 3), ((4,), 3, 2), ((2, 3), 3, 3), ((2, 2), 2, 5)):
        yield {"dy": rng.normal(size=(*rows, size_out)), "x": rng.normal(size=(*rows, size_in)),
               "w": rng.normal(size=(size_in, size_out))}


FAULTS = {
    "x.T turns all axes; flatten the axes in front first: x.reshape(-1, x.shape[-1])":
        {"x_NI.T @ dy_NO": "x.T @ dy"},
    "w is not transposed": {"dy @ w.T": "dy @ w"},
    "dw is transposed": {"x_NI.T @ dy_NO": "dy_NO.T @ x_NI"},
    "dw is the mean over rows, and not the sum": {"@ dy_NO": "@ dy_NO / len(x_NI)"},
    "dw is not summed over the axes in front": {"x_NI.T @ dy_NO": "x.swapaxes(-1, -2) @ dy"},
    "dw is made from w instead of x": {"x_NI.T @ dy_NO": "w * dy_NO.sum(axis=0)"},
    "dx is made from x instead of w: the gradient of a product has the other factor":
        {"dy @ w.T": "x * dy.sum(axis=-1, keepdims=True)"},
}
