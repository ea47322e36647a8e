"""The contract of models and data as checks that you can run on your own classes.

    from lit_models.testing import check_data, check_model

    def test_mine():
        check_model(LitMine, settings={"num_features": 4, "num_classes": 3})
        check_data(MyData, settings={"num_samples": 20})

Each function builds small examples, runs every check that applies to the class, and returns a `Report` of the checks
that ran. The first check that fails raises a `ContractError`. `MODEL_CHECKS`, `DATA_CHECKS` and `PREDICT_CHECKS`
are the checks; their docstrings are the contract.
"""

from lit_models.testing.data import DATA_CHECKS, PREDICT_CHECKS, check_data
from lit_models.testing.models import MODEL_CHECKS, check_model
from lit_models.testing.report import ContractError, Report

__all__ = ["DATA_CHECKS", "MODEL_CHECKS", "PREDICT_CHECKS", "ContractError", "Report", "check_data", "check_model"]
