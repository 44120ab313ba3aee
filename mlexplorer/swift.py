"""Swift skeletons of the classes that an app must bring for a model's custom layers."""
