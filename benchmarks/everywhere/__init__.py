"""The default preset beside plain rules, on every data set at hand."""
