function late() return "globals" end
