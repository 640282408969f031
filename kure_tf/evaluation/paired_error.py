"""How well a difference of two models on the same images is known."""

import math


def paired_error(lost, gained, images) -> float:
    """Returns the standard error of a difference of two accuracies.

    Of two models on the same n images, with l = n * lost, g = n * gained:

        sqrt(l + g + 1 - (l - g)^2 / (n + 2)) / (n + 2)

    the Wald error with half an image added to each cell of the two by two
    table of right and wrong (Agresti and Min, "Simple improved confidence
    intervals for comparing matched proportions", Statistics in Medicine 24,
    2005), so that two models that never differ are not held to be equal for
    certain.

    Args:
        lost: Share of images that only the first model gets right.
        gained: Share that only the second one gets right.
        images: n.
    """
    apart = images * (lost + gained) + 1
    difference = images * (lost - gained)
    squared = difference**2 / (images + 2)
    return math.sqrt(apart - squared) / (images + 2)
