"""Long seeded runs that try to make an upload lose, lie or start over; see ``__main__``."""
