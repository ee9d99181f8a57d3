"""The configs train on the session's data folder."""

from tests.data.conftest import data_folder as data_folder
