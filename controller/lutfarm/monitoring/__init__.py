"""What somebody who looks after the farm wants to see."""
