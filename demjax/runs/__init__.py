"""Run folders: what their files hold, writing them as a run goes, reading them again.

Every column and file name is in ``schema`` and ``folder``. Figures and pages made of run folders
belong to ``plots`` and ``report``.
"""
