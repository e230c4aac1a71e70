"""dm_control's suite: its tasks, its images, and its simulator to plan with."""
