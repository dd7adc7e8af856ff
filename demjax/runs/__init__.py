"""Run folders: what their files hold, writing them as a run goes, reading them again.

Every column is in ``schema``, every file name in ``folder``. Figures and pages made of run folders
belong to ``plots`` and ``report``.
"""
