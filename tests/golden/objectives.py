"""The training objectives in PyTorch, as the reference for the Rust ones.

Scores are log-probabilities (higher is better), errors are word errors. Per list, with N hypotheses:

  s_i     = first_i + lm_i                       first_i = 0 if no hypothesis of the list has a score
  P       = softmax(s)
  MWER    = sum_i P_i (e_i - mean e)
  MWED    = - sum_i D_i log Q_i,  D = softmax(e), Q = softmax(s / T), T = sum_i s_i / sum_i e_i
  LISTWISE= - sum_i t_i log P_i,  t = (1 - eps) uniform over {i : e_i = min e} + eps / N, eps = 0.1
  MD      = mean_i (d_i - mean d)^2,  d_i = lm_i - teacher_i

MD is the distillation of RescoreBERT, mean_i (lm_i - teacher_i)^2, of which LoRB leaves the mean of a list free.

MWED is RescoreBERT's (arXiv 2202.01094): there D = softmax(e), Q = softmax(c / T), T = sum c / sum e over costs
c = -s. Since c / T = c sum(e) / sum(c) = s sum(e) / sum(s), the sign cancels and the form above gives the same value for
the same list. T is part of the graph (scaling all s does not change the loss). |T| is clamped to at least 1e-3 with its
sign preserved, and is a constant where it is clamped; T = 0 on the cost side counts as positive. For negative
log-probabilities T < 0, so s / T grows with the cost and Q matches D.

Lists whose errors are all equal (this includes sum e = 0 and N = 1) are not part of the batch: the objective is the mean
over the other lists, and the correlation uses only their texts.

Correlation: G [n, d] has one [CLS] vector per distinct text of the batch,

  z = (G - mean) / max(std, 1e-5)   by column, std with n - 1
  R = z^T z / (n - 1)
  COR = || R - I ||_F / sqrt(d (d - 1))          0 for n < 2

that is, the root mean square of the off-diagonal correlations (the diagonal of R is 1 where std is not clamped), so a
weight means the same at any d. n independent samples of independent columns give about 1 / sqrt(n - 1), never 0.
"""
import torch

MIN_TEMPERATURE = 1e-3
MIN_STD = 1e-5
LABEL_SMOOTHING = 0.1


def usable(errors):
    return len(set(errors)) > 1


def mwer(s, e):
    return (torch.softmax(s, 0) * (e - e.mean())).sum()


def mwed(s, e):
    cost = -s
    t = cost.sum() / e.sum()
    if abs(t.item()) < MIN_TEMPERATURE:
        t = torch.full_like(t, MIN_TEMPERATURE if t.item() >= 0 else -MIN_TEMPERATURE)
    return -(torch.softmax(e, 0) * torch.log_softmax(cost / t, 0)).sum()


def listwise(s, e, smoothing=LABEL_SMOOTHING):
    best = (e == e.min()).to(s.dtype)
    target = (1 - smoothing) * best / best.sum() + smoothing / len(s)
    return -(target * torch.log_softmax(s, 0)).sum()


def md(s, teacher):
    off = s - teacher
    return ((off - off.mean()) ** 2).mean()


def correlation(g):
    n, d = g.shape
    if n < 2:
        return g.new_zeros(())
    z = (g - g.mean(0)) / g.std(0, unbiased=True).clamp(min=MIN_STD)
    r = z.T @ z / (n - 1)
    return torch.linalg.norm(r - torch.eye(d, dtype=g.dtype)) / (d * (d - 1)) ** 0.5


# Each with what it learns from.
PER_LIST = {"mwer": (mwer, "errors"), "mwed": (mwed, "errors"), "listwise": (listwise, "errors"), "md": (md, "teacher")}


def batch(name, scores, errors, teacher=None):
    """Mean of the objective over the lists with different error counts."""
    loss, source = PER_LIST[name]
    targets = errors if source == "errors" else teacher
    used = [loss(s, t) for s, t, e in zip(scores, targets, errors) if usable(e.tolist())]
    return torch.stack(used).mean()


def word_errors(reference, hypothesis):
    """Levenshtein distance over words separated by white space."""
    ref, hyp = reference.split(), hypothesis.split()
    row = list(range(len(hyp) + 1))
    for i, r in enumerate(ref, 1):
        diagonal, row[0] = row[0], i
        for j, h in enumerate(hyp, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (r != h))
    return row[-1]


def direct_cases():
    """Objectives on given values, without a model: value and gradient in float64."""
    lists = {
        "ordinary": ([[-12.5, -12.9, -13.25, -15.0], [-3.5, -3.0]], [[2, 1, 0, 3], [0, 1]]),
        "ties_and_repeats": ([[-4.0, -4.0, -6.5, -5.0, -5.0]], [[1, 1, 0, 0, 4]]),
        "equal_errors_left_out": ([[-1.0, -2.0], [-7.0, -6.0, -6.5], [-5.0]], [[1, 1], [2, 0, 1], [3]]),
        "far_apart": ([[-900.0, -1.0, -2.0]], [[0, 7, 1]]),
        "positive_sum": ([[2.0, 1.0, -0.5]], [[3, 0, 1]]),
        "temperature_held_positive_cost": ([[0.7, -0.7015, 0.0]], [[2, 0, 1]]),
        "temperature_held_negative_cost": ([[0.7, -0.6985, 0.0]], [[2, 0, 1]]),
        "temperature_zero": ([[0.5, -0.5, 0.0]], [[2, 0, 1]]),
        "large_errors": ([[-30.0, -31.0, -29.0]], [[40, 2, 55]]),
    }
    out = []
    for name, (scores, errors) in lists.items():
        teacher = [[-40.0 - 1.75 * e + 0.5 * i for i, e in enumerate(x)] for x in errors]
        case = {"name": name, "scores": scores, "errors": errors, "teacher": teacher}
        for objective in PER_LIST:
            s = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in scores]
            targets = [[torch.tensor(x, dtype=torch.float64) for x in rows] for rows in (errors, teacher)]
            loss = batch(objective, s, *targets)
            loss.backward()
            gradient = [[0.0] * len(x) if x.grad is None else x.grad.tolist() for x in s]
            case[objective] = {"loss": loss.item(), "gradient": gradient}
        out.append(case)
    matrices = {
        "more_samples_than_dims": [[(7 * i * i + 3 * i * j + 5 * j) % 11 / 5 - 1 for j in range(3)] for i in range(7)],
        "fewer_samples_than_dims": [[(5 * i * i + 7 * i * j + 2 * j * j) % 13 / 6 - 1 for j in range(6)] for i in range(4)],
        "two_samples": [[0.5, -1.0, 2.0], [1.5, 0.25, -1.0]],
        "constant_column": [[0.5, 3.0, 2.0], [1.5, 3.0, -1.0], [-0.5, 3.0, 0.25], [1.0, 3.0, 1.0]],
        "one_sample": [[0.5, 3.0, 2.0]],
    }
    correlations = []
    for name, rows in matrices.items():
        g = torch.tensor(rows, dtype=torch.float64, requires_grad=True)
        loss = correlation(g)
        if loss.requires_grad:
            loss.backward()
        gradient = torch.zeros_like(g) if g.grad is None else g.grad
        correlations.append({"name": name, "vectors": rows, "loss": loss.item(), "gradient": gradient.tolist()})
    return {"label_smoothing": LABEL_SMOOTHING, "min_temperature": MIN_TEMPERATURE, "min_std": MIN_STD,
            "lists": out, "correlation": correlations}
