"""The engine's runs use the session's data folder."""

from tests.data.conftest import data_folder as data_folder
