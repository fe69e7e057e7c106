"""How fast Belfry trains and writes tables, beside other systems on the same data, and beside what the work needs."""
