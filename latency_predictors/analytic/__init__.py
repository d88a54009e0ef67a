"""What networks cost by calculation: parameters, multiply-adds, memory, the time that peak figures allow."""
