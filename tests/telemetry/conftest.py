from scripted import bench

__all__ = ["bench"]
