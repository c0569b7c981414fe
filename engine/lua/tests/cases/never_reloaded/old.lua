return { __reload = "never", f = function() return "old" end }
