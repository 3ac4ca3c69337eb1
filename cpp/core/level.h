// Names of the tables that one instruction set level exports: RNNCORE_LEVEL_NAME(x) is x_<level>.
#pragma once

#define RNNCORE_JOIN_(a, b) a##_##b
#define RNNCORE_JOIN(a, b) RNNCORE_JOIN_(a, b)
#define RNNCORE_LEVEL_NAME(name) RNNCORE_JOIN(name, RNNCORE_ISA)
