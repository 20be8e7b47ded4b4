/* hypre's structured solver and PETSc's algebraic ones behind plain C calls, one process, one thread.
   Built by shims.py with -DWITH_HYPRE or -DWITH_PETSC. Nodes are numbered with z fastest. */
#include <stdio.h>
#include <stdlib.h>

#ifdef WITH_HYPRE
#include "HYPRE.h"
#include "HYPRE_krylov.h"
#include "HYPRE_struct_ls.h"
#include "HYPRE_struct_mv.h"
#include <mpi.h>

typedef struct {
  HYPRE_StructGrid grid;
  HYPRE_StructStencil stencil;
  HYPRE_StructMatrix matrix;
  HYPRE_StructVector rhs, x;
  HYPRE_StructSolver pcg, cycle;
  int lower[3], upper[3], ready, relaxation, skip, coarse_operator;
} Structured;

Structured *structured_new(int nx, int ny, int nz, int relaxation, int skip, int coarse_operator) {
  int started = 0, offsets[4][3] = {{0, 0, 0}, {-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
  Structured *s = calloc(1, sizeof *s);
  MPI_Initialized(&started);
  if (!started) MPI_Init(0, 0);
  HYPRE_Init();
  s->upper[0] = nz - 1; /* hypre's first index is the fastest */
  s->upper[1] = ny - 1;
  s->upper[2] = nx - 1;
  s->relaxation = relaxation;
  s->skip = skip;
  s->coarse_operator = coarse_operator;
  HYPRE_StructGridCreate(MPI_COMM_SELF, 3, &s->grid);
  HYPRE_StructGridSetExtents(s->grid, s->lower, s->upper);
  HYPRE_StructGridAssemble(s->grid);
  HYPRE_StructStencilCreate(3, 4, &s->stencil);
  for (int e = 0; e < 4; e++) HYPRE_StructStencilSetElement(s->stencil, e, offsets[e]);
  HYPRE_StructMatrixCreate(MPI_COMM_SELF, s->grid, s->stencil, &s->matrix);
  HYPRE_StructMatrixSetSymmetric(s->matrix, 1);
  HYPRE_StructMatrixInitialize(s->matrix);
  HYPRE_StructVectorCreate(MPI_COMM_SELF, s->grid, &s->rhs);
  HYPRE_StructVectorCreate(MPI_COMM_SELF, s->grid, &s->x);
  HYPRE_StructVectorInitialize(s->rhs);
  HYPRE_StructVectorInitialize(s->x);
  return s;
}

/* diagonal, and the coefficients to the neighbours at -z, -y, -x */
void structured_setup(Structured *s, double *diagonal, double *z, double *y, double *x) {
  double *values[4] = {diagonal, z, y, x};
  for (int e = 0; e < 4; e++) HYPRE_StructMatrixSetBoxValues(s->matrix, s->lower, s->upper, 1, &e, values[e]);
  HYPRE_StructMatrixAssemble(s->matrix);
  HYPRE_StructVectorAssemble(s->rhs);
  HYPRE_StructVectorAssemble(s->x);
  if (s->ready) {
    HYPRE_StructPFMGDestroy(s->cycle);
    HYPRE_StructPCGDestroy(s->pcg);
  }
  s->ready = 1;
  HYPRE_StructPFMGCreate(MPI_COMM_SELF, &s->cycle);
  HYPRE_StructPFMGSetMaxIter(s->cycle, 1);
  HYPRE_StructPFMGSetTol(s->cycle, 0);
  HYPRE_StructPFMGSetZeroGuess(s->cycle);
  HYPRE_StructPFMGSetRelaxType(s->cycle, s->relaxation);
  HYPRE_StructPFMGSetRAPType(s->cycle, s->coarse_operator);
  HYPRE_StructPFMGSetSkipRelax(s->cycle, s->skip);
  HYPRE_StructPCGCreate(MPI_COMM_SELF, &s->pcg);
  HYPRE_StructPCGSetTwoNorm(s->pcg, 1);
  HYPRE_StructPCGSetMaxIter(s->pcg, 500);
  HYPRE_StructPCGSetPrecond(s->pcg, HYPRE_StructPFMGSolve, HYPRE_StructPFMGSetup, s->cycle);
  HYPRE_StructPCGSetup(s->pcg, s->matrix, s->rhs, s->x);
}

int structured_solve(Structured *s, double *rhs, double *x, double reduction) {
  int iterations = 0;
  HYPRE_StructVectorSetBoxValues(s->rhs, s->lower, s->upper, rhs);
  HYPRE_StructVectorSetConstantValues(s->x, 0.0);
  HYPRE_StructPCGSetTol(s->pcg, reduction);
  HYPRE_StructPCGSolve(s->pcg, s->matrix, s->rhs, s->x);
  HYPRE_StructPCGGetNumIterations(s->pcg, &iterations);
  HYPRE_StructVectorGetBoxValues(s->x, s->lower, s->upper, x);
  return iterations;
}

void structured_cycle(Structured *s, double *rhs, double *x) {
  HYPRE_StructVectorSetBoxValues(s->rhs, s->lower, s->upper, rhs);
  HYPRE_StructVectorSetConstantValues(s->x, 0.0);
  HYPRE_StructPFMGSolve(s->cycle, s->matrix, s->rhs, s->x);
  HYPRE_StructVectorGetBoxValues(s->x, s->lower, s->upper, x);
}

void shim_version(char *out) { sprintf(out, "%s", HYPRE_RELEASE_VERSION); }
#endif

#ifdef WITH_PETSC
#include <petscksp.h>

typedef struct {
  Mat matrix;
  Vec rhs, x;
  KSP ksp;
} Algebraic;

/* The arrays stay the caller's; values change in place. */
Algebraic *algebraic_new(int n, int *pointers, int *columns, double *values, const char *options) {
  PetscBool started;
  Algebraic *a = calloc(1, sizeof *a);
  PetscInitialized(&started);
  if (!started) PetscInitializeNoArguments();
  PetscOptionsInsertString(NULL, options);
  MatCreateSeqAIJWithArrays(PETSC_COMM_SELF, n, n, pointers, columns, values, &a->matrix);
  MatSetOption(a->matrix, MAT_SPD, PETSC_TRUE);
  MatCreateVecs(a->matrix, &a->x, &a->rhs);
  KSPCreate(PETSC_COMM_SELF, &a->ksp);
  KSPSetOperators(a->ksp, a->matrix, a->matrix);
  KSPSetType(a->ksp, KSPCG);
  KSPSetNormType(a->ksp, KSP_NORM_UNPRECONDITIONED);
  KSPSetFromOptions(a->ksp);
  return a;
}

/* with keep, the preconditioner stays that of an older matrix */
void algebraic_setup(Algebraic *a, int keep) {
  PetscScalar *values;
  MatSeqAIJGetArray(a->matrix, &values); /* tells PETSc that they have changed */
  MatSeqAIJRestoreArray(a->matrix, &values);
  MatAssemblyBegin(a->matrix, MAT_FINAL_ASSEMBLY);
  MatAssemblyEnd(a->matrix, MAT_FINAL_ASSEMBLY);
  KSPSetReusePreconditioner(a->ksp, keep ? PETSC_TRUE : PETSC_FALSE);
  KSPSetOperators(a->ksp, a->matrix, a->matrix);
  KSPSetUp(a->ksp);
}

int algebraic_solve(Algebraic *a, double *rhs, double *x, double reduction) {
  int iterations = 0;
  VecPlaceArray(a->rhs, rhs);
  VecPlaceArray(a->x, x);
  KSPSetTolerances(a->ksp, reduction, 1e-300, 1e5, 500);
  KSPSolve(a->ksp, a->rhs, a->x);
  KSPGetIterationNumber(a->ksp, &iterations);
  VecResetArray(a->rhs);
  VecResetArray(a->x);
  return iterations;
}

void algebraic_cycle(Algebraic *a, double *rhs, double *x) {
  PC pc;
  KSPGetPC(a->ksp, &pc);
  VecPlaceArray(a->rhs, rhs);
  VecPlaceArray(a->x, x);
  PCApply(pc, a->rhs, a->x);
  VecResetArray(a->rhs);
  VecResetArray(a->x);
}

void shim_version(char *out) { sprintf(out, "%d.%d.%d", PETSC_VERSION_MAJOR, PETSC_VERSION_MINOR, PETSC_VERSION_SUBMINOR); }
#endif
