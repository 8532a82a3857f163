(******************************************************************************)
(*      BatchNorm in evaluation mode is a diagonal matrix and a bias          *)
(*                                                                            *)
(* isd c stands for 1/sqrt(var c + eps): any number, here; a program uses the *)
(* float that it computed.                                                    *)
(*                                                                            *)
(*  batchnorm x q == gamma c * ((x q - mu c) * isd c) + beta c, q = (c, i, j) *)
(*     bn_scale c == gamma c * isd c                                          *)
(*     bn_shift c == beta c - bn_scale c * mu c                               *)
(******************************************************************************)
From mathcomp Require Import all_ssreflect all_algebra.
From AlgebraicCNN Require Import flatten pattern correlation.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory.
Local Open Scope ring_scope.

Section BatchNorm.
Variables (K : comRingType) (c h w : nat) (gamma beta mu isd : 'I_c -> K).
Local Notation Img := ('I_c * 'I_h * 'I_w)%type.

Definition batchnorm (x : Img -> K) (q : Img) : K :=
  gamma q.1.1 * ((x q - mu q.1.1) * isd q.1.1) + beta q.1.1.
Definition bn_scale o := gamma o * isd o.
Definition bn_shift o := beta o - bn_scale o * mu o.

Lemma batchnormE x q : batchnorm x q = bn_scale q.1.1 * x q + bn_shift q.1.1.
Proof.
rewrite /batchnorm /bn_shift /bn_scale mulrBl mulrBr addrAC -addrA.
by rewrite [mu _ * _]mulrC [x q * _]mulrC !mulrA.
Qed.

Theorem batchnormP x :
  vec (batchnorm x) =
  diag_mx (vec (fun q : Img => bn_scale q.1.1))^T *m vec x + vec (fun q : Img => bn_shift q.1.1).
Proof.
by apply/matrixP => i j; rewrite mul_diag_mx !mxE batchnormE.
Qed.

(* behind a convolution it is folded into the kernel and the bias: the same W, rows scaled *)
Theorem batchnorm_conv (ci H V kh kw g s1 s2 d1 d2 : nat)
    (kern : 'I_c -> 'I_(ci %/ g) -> 'I_kh -> 'I_kw -> K) (b : 'I_c -> K)
    (x : 'I_ci * 'I_H * 'I_V -> K) :
  batchnorm (fun q => conv2d (g := g) s1 s2 d1 d2 kern x q + b q.1.1) =1
  fun q => conv2d (g := g) s1 s2 d1 d2 (fun o c' a e => bn_scale o * kern o c' a e) x q
           + (bn_scale q.1.1 * b q.1.1 + bn_shift q.1.1).
Proof.
case=> [[o u] v]; rewrite batchnormE mulrDr -addrA /=; congr (_ + _).
rewrite mulr_sumr; apply: eq_bigr => ? _; rewrite mulr_sumr; apply: eq_bigr => ? _.
by rewrite mulr_sumr; apply: eq_bigr => ? _; rewrite mulrA.
Qed.

End BatchNorm.

Print Assumptions batchnormP.
Print Assumptions batchnorm_conv.
