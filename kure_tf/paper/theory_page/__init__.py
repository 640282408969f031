"""The theory of KURE's section 3 as a page: tables and Figures 1 and 2."""

from kure_tf.paper.theory_page.files import save
from kure_tf.paper.theory_page.study import Study, make_study

__all__ = ["Study", "make_study", "save"]
